"""Commands that answer a question: one module each, named after its command."""
