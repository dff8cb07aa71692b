"""`benchproof-sandboxd`: a small sandbox service on benchproof's own targets, over HTTP.

It exists so that there is a real service to try the benchmarks of services on. It is measured exactly as a stranger's
is, and knows nothing of benchmarks. It refuses to be open to others without a token, to keep more than its limits say,
and to say of anything that it is gone while a process or a file of it is there.
"""
