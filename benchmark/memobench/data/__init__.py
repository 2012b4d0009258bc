"""Where images come from: the embedded phantom, public data sets, and folders of medical images."""
