"""What people read: the HTML page, the model card and the tables in the terminal, all made from the manifest."""
