"""The OpenAI API over local models: a Starlette app, one file per resource."""
