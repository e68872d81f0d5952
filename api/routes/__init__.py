"""Routes, one file a noun; each exports `router`."""
