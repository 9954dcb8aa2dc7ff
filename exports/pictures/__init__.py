"""Pictures of an architecture as SVG and PNG: its cells as graphs, or its choices where it has no cells."""

from exports.pictures.picture import Picture, cell_picture, choices_picture, pictures_of, save_pictures

__all__ = ["Picture", "cell_picture", "choices_picture", "pictures_of", "save_pictures"]
