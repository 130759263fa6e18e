"""Readers of files: photos, label maps, and the JSON files of COCO."""
