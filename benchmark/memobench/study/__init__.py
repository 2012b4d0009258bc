"""The study: factors that a training depends on, each varied alone, and what the published findings say of them."""
