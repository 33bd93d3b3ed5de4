"""A site's side of secure aggregation: keys, shares, a masked update, and help with unmasking."""
