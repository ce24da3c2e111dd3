"""What happens inside a cell: config, data, training by mmengine's Runner, predictions, cost."""
