"""What privacy noise costs in loss: private runs against those without, and the price of an epsilon."""
