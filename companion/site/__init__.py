"""What only the build of the book needs: front-end bundles, the Sphinx extension, notebooks."""
