/** A small, safe facade over the CUDA driver and cuBLAS: no other package of the project calls native code. */
package obsprop.cuda;
