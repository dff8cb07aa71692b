"""Two states of a project on one machine: base and head in turn (`ci`), and the commit between them (`bisect`)."""
