"""Several copies of one engine, called replicas, that share the requests of an evaluation.

`cutting` cuts the requests into deals. `dealer` gives each deal to an idle replica, and again to another one if the
replica dies. `engine` makes one `Engine` of them. A `Team` (`team`) says where the replicas run: in processes of this
machine (`processes`), on a Ray cluster (`on_ray`), or in the ranks that torchrun or Slurm started (`ranks`). `worker`
runs in each replica.
"""
