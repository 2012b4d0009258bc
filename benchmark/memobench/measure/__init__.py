"""The measure of a run, an audit and an attack: what was copied, how sure that is, and how good the images are."""
