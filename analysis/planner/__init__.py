"""What a consortium should train: size, rounds and predicted loss with intervals."""
