"""Recordings of a Xen: made with scripts/record, replayed as a backend, cleaned of what is nobody's business."""
