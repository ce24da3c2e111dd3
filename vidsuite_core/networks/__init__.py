"""Networks that more than one plugin uses, plain torch modules: import what is needed from the modules here."""
