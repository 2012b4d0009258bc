"""Any folder of medical images: what is in it (:mod:`inspect`), and its images at one shape (:mod:`prepare`).

One module per family of files says how it is read: ``raster`` (PNG, JPEG, TIFF), ``arrays`` (NPY, NPZ), ``dicom`` and
``nifti``. What a file is follows from its content (``kinds``), how values become [0, 1] from ``picture``.
"""
