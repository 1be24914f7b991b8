"""What single commands of `txm2sem` do that is no stage of the pipeline.

- `doctor`: what this machine has and lacks
- `plan`: how large a prediction is before it is begun
- `compare`: whether two folders of results agree
- `init`: a project folder of the user's own
- `app`, `project`: the command line of these
- `options`: options that commands share
"""
