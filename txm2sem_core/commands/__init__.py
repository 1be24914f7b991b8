"""What single commands of `txm2sem` do that is no stage of the pipeline.

- `doctor`: what this machine has and lacks
- `plan`: how large a prediction is before it is begun
- `compare`: whether two folders of results agree
- `options`: options that commands share
"""
