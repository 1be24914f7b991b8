"""`python -m txm2sem_core` is the command `txm2sem`."""

from txm2sem_core.cli import main

if __name__ == "__main__":
    main()
