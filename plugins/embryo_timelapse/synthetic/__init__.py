"""A renderer of developing embryos: `plan` draws who develops how, `development` moves the cells, `optics` and `scene`
make pictures of them. Nobody was recorded for it."""
