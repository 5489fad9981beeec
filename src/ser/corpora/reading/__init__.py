"""What more than one corpus reader needs: downloads, alignment formats, text files, counts."""
