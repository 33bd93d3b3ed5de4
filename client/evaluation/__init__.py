"""Evaluation on a site's patients: loss, generated timelines, probes, intervals."""
