"""Several copies of one engine, called replicas, that share the requests of an evaluation.

`cutting` cuts the requests into chunks. `dispatcher` gives each chunk to an idle replica, and to another one if that
replica dies. `engine` presents all replicas as one `Engine`. A `Team` (`team`) decides where they run: in processes on
this machine (`processes`), on a Ray cluster (`on_ray`), or in the ranks that torchrun or Slurm started (`ranks`).
`worker` runs in each replica.
"""
