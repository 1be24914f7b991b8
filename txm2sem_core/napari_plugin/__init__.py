"""Results as layers of napari, and widgets, by the plugin that `napari.yaml` describes.

- `layers`: what of a sample's results becomes a layer, with which scale and contrast
- `arrays`: volumes as the arrays that napari shows, read slice by slice
- `prediction`: a shown volume is predicted, in a thread; `marking`: landmarks of a pair
- `widgets`: the two as widgets; it alone imports napari
"""

from txm2sem_core.napari_plugin.layers import get_reader

__all__ = ["get_reader"]
