from runs.remote.commands import main

if __name__ == "__main__":
    main()
