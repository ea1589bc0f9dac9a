"""What a run would cost on other machines, from the recipe's work and measured rates."""
