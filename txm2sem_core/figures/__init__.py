"""Draw the figures of a sample from its results, in every format that the style asks for.

Each module draws one figure, which `catalogue.figures` names, so that a change of one draws no other again; but for:

- `saving`: a figure in every format, or in its place why there is none
- `representative`: how large a volume must be
- `lines`: lines of charts, for `spectra` and `distributions`
- `segmented`: volumes and their phases, for `phases` and `pore_space`
"""
