"""`python -m pinfunnel`: the command for whoever has the package but no script on the PATH. Holds nothing else."""

from apps.cli import main

if __name__ == "__main__":
    main()
