"""Upload: DICOM files, folders and ZIPs that a person gives to the node, placed as if a scanner had sent them."""
