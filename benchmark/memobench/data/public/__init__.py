"""The public data sets of the field, one file each; names that begin with an underscore are shared by several."""
