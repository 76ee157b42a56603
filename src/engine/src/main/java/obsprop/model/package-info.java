/**
 * A transformer as a whole: forward into an {@link obsprop.model.ActivationCache}, and exact vector-Jacobian products
 * back through it. The layers are in {@link obsprop.model.layer}; this package only wires them.
 */
package obsprop.model;
