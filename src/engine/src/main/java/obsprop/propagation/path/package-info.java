/** Feature vectors along paths: how each component is pulled back, and at which point it is linearised. */
package obsprop.propagation.path;
