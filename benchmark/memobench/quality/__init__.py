"""How good generated images are, measured against real images of patients whom no generator saw."""
