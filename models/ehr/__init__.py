"""The EHR decoder: architecture, ladder, parametrisation, next-token loss, generation."""
