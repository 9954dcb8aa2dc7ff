"""Pictures of an architecture as SVG and PNG: its cells as graphs, or where it has none what runs in its order."""

from exports.pictures.picture import Picture, cell_picture, choices_picture, network_picture, pictures_of, save_pictures

__all__ = ["Picture", "cell_picture", "choices_picture", "network_picture", "pictures_of", "save_pictures"]
