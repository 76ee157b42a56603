/** Chooses what computes: the only package that names all backends. */
package obsprop.backend;
