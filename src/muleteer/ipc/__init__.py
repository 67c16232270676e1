"""What the processes share. All of it is made by the master before anything forks."""
