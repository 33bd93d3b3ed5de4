"""How size and tokens share a compute budget best: IsoFLOP parabolas, the envelope, the fitted surface."""
