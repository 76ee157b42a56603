/** The kernels on an NVIDIA GPU: everything stays on the device, on one stream, until it is copied to the host. */
package obsprop.kernel.cuda;
