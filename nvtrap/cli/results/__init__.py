"""The formats of test runs, a module each: `render(results)` gives the whole text."""
