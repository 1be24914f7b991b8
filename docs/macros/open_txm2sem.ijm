// Opens what TXM2SEM left of a sample in Fiji or ImageJ: a predicted volume, and the TXM volume of a phantom beside it, each
// with its voxel size. Plugins > Macros > Run..., then choose the folder results/SAMPLE. The volumes must have been written
// as TIFF too (tiff_volumes: true). Given the folder as its argument, it opens the first volume and asks nothing.
var found = newArray(0);
sample = getArgument();
asks = lengthOf(sample) == 0;
if (asks)
    sample = getDirectory("The folder of a sample: results/SAMPLE");
if (!endsWith(sample, "/"))
    sample = sample + "/";
volumes = sample + "volumes/";
collect(volumes, "");
if (found.length == 0)
    exit("There is no TIFF in " + volumes + ". Set tiff_volumes: true in the configuration, and run it again.");
chosen = found[0];
if (asks) {
    Dialog.create("TXM2SEM");
    Dialog.addChoice("Volume", found, chosen);
    Dialog.show();
    chosen = Dialog.getChoice();
}
show(volumes + chosen, chosen);
txm = sample + "raw/txm_volume/";
if (File.isDirectory(txm)) {
    getVoxelSize(width, height, depth, unit);
    File.openSequence(txm);
    setVoxelSize(width, height, depth, unit);
    middle("TXM");
}

function show(path, name) {
    open(path);
    middle(name);
    getVoxelSize(width, height, depth, unit);
    print(name + ": " + nSlices + " slices, voxels of " + width + " x " + height + " x " + depth + " " + unit);
}

function middle(name) {
    rename(name);
    setSlice(floor(nSlices / 2) + 1);
    run("Enhance Contrast", "saturated=0.5");
}

// All TIFFs below a folder, by their paths in it; what lies in an OME-Zarr is none.
function collect(folder, path) {
    list = getFileList(folder + path);
    for (i = 0; i < list.length; i++) {
        if (endsWith(list[i], ".tif"))
            found = Array.concat(found, path + list[i]);
        else if (endsWith(list[i], "/") && !endsWith(list[i], ".zarr/"))
            collect(folder, path + list[i]);
    }
}
