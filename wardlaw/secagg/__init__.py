"""Secure aggregation: what sites and server must agree on so that the server learns sums only.

SecAgg+ (Bell et al., CCS 2020, ePrint 2020/704) over the masks of Bonawitz et al. (CCS 2017).
"""
