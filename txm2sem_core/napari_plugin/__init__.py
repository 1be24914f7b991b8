"""Results as layers of napari, by the plugin that `napari.yaml` describes.

- `layers`: what of a sample's results becomes a layer, with which scale and contrast
- `arrays`: volumes as the arrays that napari shows, read slice by slice
"""

from txm2sem_core.napari_plugin.layers import get_reader

__all__ = ["get_reader"]
