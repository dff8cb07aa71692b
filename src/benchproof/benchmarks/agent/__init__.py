"""What an agent gets from a sandbox service: calls of tools, start-up, memory, CPU time, network, throughput."""
