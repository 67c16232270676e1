"""Python as an Erlang node: names, epmd, connections, the node itself and its clients."""
